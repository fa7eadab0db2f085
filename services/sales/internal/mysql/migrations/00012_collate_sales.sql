-- +goose Up
-- Names and states of programs are compared by bytes, on every server.
ALTER TABLE sales
    MODIFY status VARCHAR(12) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    MODIFY reason VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    MODIFY currency CHAR(3) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
