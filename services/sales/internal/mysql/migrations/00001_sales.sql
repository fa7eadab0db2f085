-- +goose Up
CREATE TABLE IF NOT EXISTS sales (
    id          BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    customer_id BIGINT         NOT NULL,
    status      VARCHAR(12)    NOT NULL,
    hold        BOOLEAN        NOT NULL,
    reserved    BOOLEAN        NOT NULL,
    reason      VARCHAR(64)    NOT NULL,
    -- Lines and shortages are always read and written with their sale.
    items       JSON           NOT NULL,
    shortages   JSON           NULL,
    total       DECIMAL(18, 2) NULL,
    currency    CHAR(3)        NOT NULL,
    created_at  DATETIME(6)    NOT NULL,
    updated_at  DATETIME(6)    NOT NULL,
    -- Not null while a hold is Pending, so the index has only those rows.
    expires_at  DATETIME(6)    NULL,
    KEY sales_by_customer (customer_id, id),
    KEY sales_by_customer_status (customer_id, status, id),
    KEY sales_by_expiry (expires_at),
    CONSTRAINT sale_status CHECK (status IN ('Pending', 'Confirmed', 'Canceled', 'Unauthorized')),
    CONSTRAINT sale_total CHECK (total >= 0)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE IF NOT EXISTS timeline (
    id      BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
    sale_id BIGINT      NOT NULL,
    type    VARCHAR(64) NOT NULL,
    data    JSON        NOT NULL,
    at      DATETIME(6) NOT NULL,
    KEY timeline_by_sale (sale_id, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE IF NOT EXISTS requests (
    customer_id BIGINT      NOT NULL,
    key_hash    BINARY(32)  NOT NULL,
    body_hash   BINARY(32)  NOT NULL,
    -- The sale in the response. The response to a repeat is the same.
    answer      JSON        NOT NULL,
    created_at  DATETIME(6) NOT NULL,
    PRIMARY KEY (customer_id, key_hash),
    KEY requests_by_age (created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE IF NOT EXISTS outbox (
    event_id BINARY(16) NOT NULL PRIMARY KEY,
    body     MEDIUMBLOB NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE IF NOT EXISTS inbox (
    event_id BINARY(16) NOT NULL PRIMARY KEY,
    claim    BINARY(16) NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
