-- +goose Up
-- The table has no text. New columns do not depend on the server.
ALTER TABLE stocks
    DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
