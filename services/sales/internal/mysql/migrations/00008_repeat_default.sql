-- +goose Up
-- For the sales of replicas of the previous revision, which do not write the column. Not in the
-- migration before, which would set it for all existing sales.
ALTER TABLE sales
    ALTER COLUMN repeat_at SET DEFAULT (CURRENT_TIMESTAMP(6) + INTERVAL 1 MINUTE);
