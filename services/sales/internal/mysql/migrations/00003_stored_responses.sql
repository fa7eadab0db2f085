-- +goose Up
ALTER TABLE requests RENAME COLUMN answer TO response;
