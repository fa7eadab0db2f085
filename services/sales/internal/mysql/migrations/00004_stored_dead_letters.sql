-- +goose Up
ALTER TABLE dead_letters RENAME COLUMN kept_at TO stored_at;
