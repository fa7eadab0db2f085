-- +goose Up
-- The inbox stored ids for 14 days. An event that was redriven later has two entries.
DELETE repeated FROM timeline AS repeated
    JOIN timeline AS entry ON entry.sale_id = repeated.sale_id AND entry.type = repeated.type AND entry.id < repeated.id;
-- Each event of a sale occurs once, so a second entry is of a redelivered one.
ALTER TABLE timeline
    DROP KEY timeline_by_sale,
    ADD UNIQUE KEY timeline_by_sale (sale_id, type);
