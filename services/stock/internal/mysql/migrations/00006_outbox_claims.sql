-- +goose Up
-- By the clock of the database. Replicas of the previous revision do not write the columns.
ALTER TABLE outbox
    ADD COLUMN created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    ADD COLUMN claimed_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    ADD KEY outbox_by_claim (claimed_at);
