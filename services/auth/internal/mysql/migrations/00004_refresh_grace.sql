-- +goose Up
-- How a used token was exchanged, so that the client gets the same next one within a grace period.
-- Replicas of the previous release leave them NULL, which is without one.
ALTER TABLE refresh_tokens
    ADD COLUMN used_at DATETIME(6) NULL,
    ADD COLUMN client  BINARY(32)  NULL,
    ADD COLUMN salt    BINARY(32)  NULL;
