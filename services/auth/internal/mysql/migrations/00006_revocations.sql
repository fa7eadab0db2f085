-- +goose Up
-- Access tokens have the generation of the account at their issue; those of a lower one are revoked.
ALTER TABLE users
    ADD COLUMN token_generation INT UNSIGNED NOT NULL DEFAULT 0,
    ADD COLUMN tokens_revoked_at DATETIME(6) NULL,
    ADD KEY users_revoked (tokens_revoked_at);
