-- +goose Up
-- The requests by which the account of MANAGER_EMAIL was restored. Each is fulfilled once.
CREATE TABLE IF NOT EXISTS manager_restorations (
    request     VARCHAR(64) NOT NULL,
    user_id     BIGINT      NOT NULL,
    restored_at DATETIME(6) NOT NULL,
    PRIMARY KEY (request)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
