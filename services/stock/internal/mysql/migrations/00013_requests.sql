-- +goose Up
-- The responses to requests with an Idempotency-Key. The response to a repeat is the same.
CREATE TABLE IF NOT EXISTS requests (
    caller_id  BIGINT      NOT NULL,
    key_hash   BINARY(32)  NOT NULL,
    body_hash  BINARY(32)  NOT NULL,
    response   JSON        NOT NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (caller_id, key_hash),
    KEY requests_by_age (created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
