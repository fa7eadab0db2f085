-- +goose Up
-- Before the next migration, so that replicas of the previous revision apply no event between
-- its statements.
DROP TABLE IF EXISTS inbox;
