-- +goose Up
ALTER TABLE users
    ADD KEY users_managers (role, disabled);
