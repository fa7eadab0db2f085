-- +goose Up
-- Managers list the sales of all customers by status. A customer's sales of a status are
-- searched among the sales of that customer.
ALTER TABLE sales
    DROP KEY sales_by_customer_status,
    ADD KEY sales_by_status (status, id);

-- A repeat of a request that waits for the decision is rejected until this time.
ALTER TABLE requests
    ADD COLUMN running_until DATETIME(6) NULL;

CREATE TABLE IF NOT EXISTS dead_letters (
    id           BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    -- Hash of the message and its properties, so that a redelivered one is stored once.
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
