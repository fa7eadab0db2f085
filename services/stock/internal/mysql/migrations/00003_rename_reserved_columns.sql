-- +goose Up
ALTER TABLE stocks RENAME COLUMN for_sales TO reserved_sales, RENAME COLUMN by_hand TO reserved_manual;
