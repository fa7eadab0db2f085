-- +goose Up
DROP TABLE IF EXISTS inbox;
