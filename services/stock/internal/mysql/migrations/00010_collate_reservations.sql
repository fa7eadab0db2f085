-- +goose Up
-- Names and states of programs are compared by bytes, on every server.
ALTER TABLE reservations
    MODIFY status VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
