-- +goose Up
-- The key identifies more than an email now. Its name stays, so that replicas of the
-- previous release work until the rollout has replaced them.
ALTER TABLE login_attempts
    MODIFY email_hash BINARY(32) NOT NULL COMMENT 'SHA-256 of what is counted: kind, client, email';
