-- +goose Up
-- The collation without regard to case that MySQL and MariaDB both have, and that distinguishes
-- emoji. The default one of the server does not everywhere.
ALTER TABLE products
    MODIFY name VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NOT NULL,
    MODIFY description VARCHAR(2000) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NOT NULL,
    DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
