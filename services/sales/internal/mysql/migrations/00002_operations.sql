-- +goose Up
-- Managers list the sales of all customers by status. One customer's sales of a status
-- are found among that customer's sales.
ALTER TABLE sales
    DROP KEY sales_by_customer_status,
    ADD KEY sales_by_status (status, id);

-- A request that waits for the decision is still running until then: a repeat is told so.
ALTER TABLE requests
    ADD COLUMN running_until DATETIME(6) NULL;

CREATE TABLE IF NOT EXISTS dead_letters (
    id           BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    -- Of all that the broker handed on: a letter that comes twice is kept once.
    fingerprint  BINARY(32)     NOT NULL,
    queue        VARCHAR(255)   NOT NULL,
    reason       VARCHAR(255)   NOT NULL,
    message_id   VARBINARY(255) NOT NULL,
    type         VARBINARY(255) NOT NULL,
    correlation  VARBINARY(255) NOT NULL,
    trace_parent VARBINARY(255) NOT NULL,
    content_type VARBINARY(255) NOT NULL,
    body         LONGBLOB       NOT NULL,
    died_at      DATETIME(6)    NOT NULL,
    kept_at      DATETIME(6)    NOT NULL,
    UNIQUE KEY dead_letters_once (fingerprint)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
