-- +goose Up
-- Of a long message only the first bytes are stored.
ALTER TABLE dead_letters
    ADD COLUMN body_size BIGINT NULL,
    ADD COLUMN headers JSON NULL;
