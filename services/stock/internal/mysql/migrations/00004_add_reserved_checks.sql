-- +goose Up
ALTER TABLE stocks
    ADD CONSTRAINT stock_reserved_sales CHECK (reserved_sales >= 0),
    ADD CONSTRAINT stock_reserved_manual CHECK (reserved_manual >= 0);
