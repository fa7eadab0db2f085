-- The rows are older than all retention periods. The temporary table has the values of each sale.
CREATE OR REPLACE TEMPORARY TABLE $SALES.filled AS
SELECT id, customer, product, price, at,
  CONCAT('[{"productId":', product, ',"quantity":1}]') AS items,
  CONCAT('[{"productId":', product, ',"quantity":1,"unitPrice":"', price, '"}]') AS priced,
  CONCAT('[{"productId":', product, ',"quantity":1,"price":"', price, '"}]') AS reserved
FROM (
  SELECT seq AS id, 1 + seq % $CUSTOMERS AS customer, 1 + seq % $PRODUCTS AS product,
    CAST(1 + (1 + seq % $PRODUCTS) % 100 AS DECIMAL(9, 2)) AS price, UTC_TIMESTAMP(6) - INTERVAL 30 DAY AS at
  FROM $IDS
) ids

INSERT INTO $SALES.sales (id, customer_id, status, hold, reserved, reason, items, total, currency, created_at, updated_at)
SELECT id, customer, 'Confirmed', 0, 1, '', priced, price, 'USD', at, at FROM $SALES.filled

INSERT INTO $STOCK.reservations (sale_id, customer_id, status, lines_json, at)
SELECT id, customer, 'Removed', items, at FROM $SALES.filled

UPDATE $STOCK.stocks JOIN (SELECT product, COUNT(*) AS n, MAX(at) AS at FROM $SALES.filled GROUP BY product) sold ON product_id = product
SET available = available - n, removed = removed + n, updated_at = sold.at

INSERT INTO $STOCK.movements (product_id, kind, quantity, sale_id, at)
SELECT product, 'reserved', 1, id, at FROM $SALES.filled

INSERT INTO $STOCK.movements (product_id, kind, quantity, sale_id, at)
SELECT product, 'removed', 1, id, at FROM $SALES.filled

INSERT INTO $SALES.timeline (sale_id, type, data, at)
SELECT id, 'SaleCreated', CONCAT('{"saleId":', id, ',"customerId":', customer, ',"items":', items, '}'), at FROM $SALES.filled

INSERT INTO $SALES.timeline (sale_id, type, data, at)
SELECT id, 'SaleItemsReservedResponse', CONCAT('{"saleId":', id, ',"customerId":', customer, ',"itemsReserved":', reserved, '}'), at FROM $SALES.filled

INSERT INTO $SALES.timeline (sale_id, type, data, at)
SELECT id, 'SaleConfirmed', CONCAT('{"saleId":', id, ',"items":', items, '}'), at FROM $SALES.filled

INSERT INTO $SALES.timeline (sale_id, type, data, at)
SELECT id, 'StockReleased', CONCAT('{"saleId":', id, ',"items":', items, ',"releasedAt":"2026-01-01T00:00:00Z"}'), at FROM $SALES.filled
