-- +goose Up
UPDATE sales SET repeat_at = NOW(6) + INTERVAL 1 MINUTE
WHERE repeat_at IS NULL AND (status = 'Pending' AND NOT reserved OR status IN ('Confirmed', 'Canceled') AND NOT EXISTS (
    SELECT 1 FROM timeline WHERE timeline.sale_id = sales.id
        AND timeline.type = IF(sales.status = 'Confirmed', 'StockReleased', 'StockCanceled')));
