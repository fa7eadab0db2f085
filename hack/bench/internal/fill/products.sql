INSERT INTO $STOCK.products (id, name, description, price, version, created_at, updated_at)
SELECT seq, CONCAT('Product ', LPAD(seq * 7919 % 10000019, 8, '0')), REPEAT('A thing to have. ', 8), 1 + seq % 100, 1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) FROM $IDS

-- Two columns have other names in earlier revisions.
INSERT INTO $STOCK.stocks SELECT seq, 1000000000, 0, 0, 0, UTC_TIMESTAMP(6) FROM $IDS

INSERT INTO $STOCK.movements (product_id, kind, quantity, actor_id, at)
SELECT seq, 'received', 1000000000, 1, UTC_TIMESTAMP(6) FROM $IDS
