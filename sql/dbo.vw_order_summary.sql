-- One row per order, with the name of its customer.
-- A customer need not be registered when the order is made: customer_name is NULL until it is.
CREATE OR ALTER VIEW dbo.vw_order_summary AS
SELECT
    o.order_id,
    o.customer_id,
    c.name AS customer_name,
    o.status,
    o.item_count,
    o.total,
    o.created_at,
    o.updated_at,
    o.version,
    o.created_day
FROM OPENROWSET(BULK 'orders/', DATA_SOURCE = 'read_store', FORMAT = 'DELTA')
    WITH (
        order_id VARCHAR(128) COLLATE Latin1_General_100_BIN2_UTF8,
        customer_id VARCHAR(128) COLLATE Latin1_General_100_BIN2_UTF8,
        status VARCHAR(20) COLLATE Latin1_General_100_BIN2_UTF8,
        item_count INT,
        total DECIMAL(18, 2),
        created_at DATETIME2(6),
        updated_at DATETIME2(6),
        version BIGINT,
        created_day DATE
    ) AS o
LEFT JOIN OPENROWSET(BULK 'customers/', DATA_SOURCE = 'read_store', FORMAT = 'DELTA')
    WITH (
        customer_id VARCHAR(128) COLLATE Latin1_General_100_BIN2_UTF8,
        name VARCHAR(8000) COLLATE Latin1_General_100_BIN2_UTF8
    ) AS c
    ON c.customer_id = o.customer_id;
