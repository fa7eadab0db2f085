-- +goose Up
-- Names and states of programs are compared by bytes, on every server.
ALTER TABLE movements
    MODIFY kind VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
