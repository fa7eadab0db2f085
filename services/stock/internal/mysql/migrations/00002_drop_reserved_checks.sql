-- +goose Up
-- MySQL does not rename a column that a CHECK constraint uses.
ALTER TABLE stocks DROP CONSTRAINT stock_for_sales, DROP CONSTRAINT stock_by_hand;
