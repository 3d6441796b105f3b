-- One row per customer who has ordered, registered or not: how many orders, how many cancelled, what the others are worth.
CREATE OR ALTER VIEW dbo.vw_customer_orders AS
SELECT
    o.customer_id,
    c.name AS customer_name,
    COUNT_BIG(*) AS orders,
    COUNT_BIG(CASE WHEN o.status = 'Cancelled' THEN 1 END) AS cancelled,
    CAST(COALESCE(SUM(CASE WHEN o.status <> 'Cancelled' THEN o.total END), 0) AS DECIMAL(38, 2)) AS revenue,
    MIN(o.created_day) AS first_day,
    MAX(o.created_day) AS last_day
FROM OPENROWSET(BULK 'orders/', DATA_SOURCE = 'read_store', FORMAT = 'DELTA')
    WITH (
        customer_id VARCHAR(128) COLLATE Latin1_General_100_BIN2_UTF8,
        status VARCHAR(20) COLLATE Latin1_General_100_BIN2_UTF8,
        total DECIMAL(18, 2),
        created_day DATE
    ) AS o
LEFT JOIN OPENROWSET(BULK 'customers/', DATA_SOURCE = 'read_store', FORMAT = 'DELTA')
    WITH (
        customer_id VARCHAR(128) COLLATE Latin1_General_100_BIN2_UTF8,
        name VARCHAR(8000) COLLATE Latin1_General_100_BIN2_UTF8
    ) AS c
    ON c.customer_id = o.customer_id
GROUP BY o.customer_id, c.name;
