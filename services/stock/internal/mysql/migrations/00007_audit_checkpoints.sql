-- +goose Up
-- The sums of the ledger of each product up to a movement, which is that of the row of product 0.
CREATE TABLE IF NOT EXISTS audit_checkpoints (
    product_id      BIGINT NOT NULL PRIMARY KEY,
    movement_id     BIGINT NOT NULL,
    movements       BIGINT NOT NULL,
    received        BIGINT NOT NULL,
    reserved_sales  BIGINT NOT NULL,
    released_sales  BIGINT NOT NULL,
    removed_sales   BIGINT NOT NULL,
    reserved_manual BIGINT NOT NULL,
    released_manual BIGINT NOT NULL,
    removed_manual  BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
