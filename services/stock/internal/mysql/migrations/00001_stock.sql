-- +goose Up
CREATE TABLE IF NOT EXISTS products (
    id          BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name        VARCHAR(200) NOT NULL,
    description VARCHAR(2000) NOT NULL,
    price       DECIMAL(9, 2) NOT NULL,
    version     BIGINT       NOT NULL,
    created_at  DATETIME(6)  NOT NULL,
    updated_at  DATETIME(6)  NOT NULL,
    deleted_at  DATETIME(6)  NULL,
    KEY products_by_name (deleted_at, name, id),
    KEY products_by_price (deleted_at, price, id),
    KEY products_by_creation (deleted_at, created_at, id),
    CONSTRAINT product_price CHECK (price >= 0)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE IF NOT EXISTS stocks (
    product_id BIGINT      NOT NULL PRIMARY KEY,
    available  BIGINT      NOT NULL,
    for_sales  BIGINT      NOT NULL,
    by_hand    BIGINT      NOT NULL,
    removed    BIGINT      NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    CONSTRAINT stock_available CHECK (available >= 0),
    CONSTRAINT stock_for_sales CHECK (for_sales >= 0),
    CONSTRAINT stock_by_hand CHECK (by_hand >= 0),
    CONSTRAINT stock_removed CHECK (removed >= 0)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- The ledger. It has no foreign keys: its rows are written under the lock of their
-- stocks row, and a foreign key would lock the parent a second time.
CREATE TABLE IF NOT EXISTS movements (
    id         BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
    product_id BIGINT      NOT NULL,
    kind       VARCHAR(8)  NOT NULL,
    quantity   BIGINT      NOT NULL,
    sale_id    BIGINT      NULL,
    actor_id   BIGINT      NULL,
    at         DATETIME(6) NOT NULL,
    KEY movements_by_product (product_id, id),
    CONSTRAINT movement_quantity CHECK (quantity > 0)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE IF NOT EXISTS reservations (
    sale_id     BIGINT      NOT NULL PRIMARY KEY,
    customer_id BIGINT      NOT NULL,
    status      VARCHAR(8)  NOT NULL,
    -- [{"productId": 1, "quantity": 2}]: always read and written whole.
    lines_json  JSON        NOT NULL,
    at          DATETIME(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE IF NOT EXISTS outbox (
    event_id BINARY(16) NOT NULL PRIMARY KEY,
    body     MEDIUMBLOB NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE IF NOT EXISTS inbox (
    event_id BINARY(16) NOT NULL PRIMARY KEY,
    claim    BINARY(16) NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
