-- Columns are compared by bytes: emails are stored in normalized form, and hashes are
-- not text.

-- +goose Up
CREATE TABLE IF NOT EXISTS users (
    id            BIGINT       NOT NULL AUTO_INCREMENT,
    username      VARCHAR(100) NOT NULL,
    email         VARCHAR(254) NOT NULL,
    password_hash VARBINARY(60) NOT NULL,
    role          VARCHAR(16)  NOT NULL,
    disabled      BOOLEAN      NOT NULL DEFAULT FALSE,
    created_at    DATETIME(6)  NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY users_email (email),
    CONSTRAINT users_role CHECK (role IN ('Client', 'Manager'))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS refresh_tokens (
    hash       BINARY(32)  NOT NULL,
    family     BINARY(16)  NOT NULL,
    user_id    BIGINT      NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    used       BOOLEAN     NOT NULL DEFAULT FALSE,
    PRIMARY KEY (hash),
    KEY refresh_tokens_family (family),
    KEY refresh_tokens_user (user_id),
    KEY refresh_tokens_expiry (expires_at),
    CONSTRAINT refresh_tokens_user FOREIGN KEY (user_id) REFERENCES users (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS login_attempts (
    email_hash      BINARY(32)   NOT NULL,
    failures        INT UNSIGNED NOT NULL,
    last_failure_at DATETIME(6)  NOT NULL,
    blocked_until   DATETIME(6)  NOT NULL,
    PRIMARY KEY (email_hash),
    KEY login_attempts_age (last_failure_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- +goose Down
DROP TABLE login_attempts;
DROP TABLE refresh_tokens;
DROP TABLE users;
