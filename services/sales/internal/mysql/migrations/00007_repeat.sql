-- +goose Up
-- The time at which the command to stock is published again. Null when stock has responded, so
-- searches read only the sales that wait.
ALTER TABLE sales
    ADD COLUMN repeat_at DATETIME(6) NULL,
    ADD KEY sales_by_repeat (repeat_at);
