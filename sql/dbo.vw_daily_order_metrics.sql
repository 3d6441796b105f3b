-- One row per day, computed from the orders.
-- The day is the one in the order's id, which the table is partitioned by.
-- The derived table daily_order_metrics holds the same rows,
-- computed once per commit instead of once per question.
CREATE OR ALTER VIEW dbo.vw_daily_order_metrics AS
SELECT
    o.created_day AS day,
    COUNT_BIG(*) AS orders,
    COUNT_BIG(CASE WHEN o.status = 'Cancelled' THEN 1 END) AS cancelled,
    CAST(COALESCE(SUM(CASE WHEN o.status <> 'Cancelled' THEN o.total END), 0)
        AS DECIMAL(38, 2)) AS revenue,
    CAST(ROUND(AVG(CASE WHEN o.status <> 'Cancelled' THEN o.total END), 2)
        AS DECIMAL(18, 2)) AS average_order_value,
    COUNT_BIG(DISTINCT o.customer_id) AS distinct_customers
FROM OPENROWSET(BULK 'orders/', DATA_SOURCE = 'read_store', FORMAT = 'DELTA')
    WITH (
        customer_id VARCHAR(128) COLLATE Latin1_General_100_BIN2_UTF8,
        status VARCHAR(20) COLLATE Latin1_General_100_BIN2_UTF8,
        total DECIMAL(18, 2),
        created_day DATE
    ) AS o
GROUP BY o.created_day;
