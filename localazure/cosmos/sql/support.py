"""The rows of the support table for queries: what the language serves, what it refuses, and the test that sees it."""

from __future__ import annotations

from localazure.support import Row

_CONTRACT = "tests/contract/test_cosmos_queries.py::test_"
_PAGES = "tests/contract/test_cosmos_query_pages.py::test_"
_LIMITS = "tests/contract/test_cosmos_query_limits.py::test_"


def _served(operation: str, proof: str, note: str = "") -> Row:
    return Row(operation, True, _CONTRACT + proof, note)


def _paged(operation: str, proof: str, note: str = "", *, supported: bool = True) -> Row:
    return Row(operation, supported, _PAGES + proof, note)


def _refused(operation: str, proof: str, note: str) -> Row:
    return Row(operation, False, _CONTRACT + proof, note)


ROWS: tuple[Row, ...] = (
    # One partition
    _served("SELECT *", "a_query_of_one_partition_returns_whole_items_in_the_order_of_their_creation"),
    _served(
        "WHERE with every operator; type, string, array, mathematical, date, item and conditional functions",
        "an_expression_of_every_family_is_answered",
        "case by case, as each page of the language has it: tests/unit/cosmos_sql",
    ),
    _served("parameters", "parameters_compare_by_type", "at most 8,000 of them"),
    _served(
        "undefined apart from null",
        "undefined_and_null_are_kept_apart",
        "deviating from its page: = and != across types are false and true, where the page says undefined",
    ),
    _served("GROUP BY", "group_by_is_served_within_one_partition"),
    _served("aggregates without VALUE", "an_aggregate_without_value_is_served_within_one_partition"),
    _served("JOIN and IN over arrays", "a_join_unfolds_arrays_in_every_range"),
    _served("subqueries: scalar, EXISTS, ARRAY, in FROM and JOIN", "subqueries_see_the_item_around_them"),
    _served("no FROM", "a_query_without_from_gives_one_result_over_all_ranges"),
    _served(
        "ORDER BY one path",
        "order_by_keeps_items_without_the_path_only_if_the_policy_includes_it",
        "items without the path come along only if the indexing policy includes that very path",
    ),
    _served(
        "ORDER BY several paths", "order_by_several_paths_needs_their_composite_index", "with their composite index"
    ),
    # Several ranges
    _served("filters and projections over several ranges", "a_filter_is_served_over_all_ranges"),
    _served("SELECT VALUE of one aggregate over several ranges", "an_aggregate_is_merged_from_all_ranges"),
    _served("ORDER BY over several ranges", "order_by_is_merged_from_all_ranges"),
    _served("ORDER BY several paths over several ranges", "order_by_several_paths_is_merged_from_all_ranges"),
    _served("TOP over several ranges", "top_over_all_ranges_takes_as_many_as_asked"),
    _served("OFFSET and LIMIT over several ranges", "offset_and_limit_count_over_all_ranges"),
    _served("DISTINCT over several ranges", "distinct_values_are_merged_from_all_ranges"),
    _served("partition keys in WHERE", "several_partition_keys_in_where_narrow_the_plan"),
    _served("feed ranges", "a_feed_range_is_queried_alone"),
    _served("the asynchronous client", "the_asynchronous_client_merges_alike"),
    # Pages
    _paged(
        "max_item_count",
        "pages_of_every_size_make_the_same_whole",
        "within one partition every kind of query; over several ranges the SDK pages what it merges by itself",
    ),
    _paged(
        "continuation tokens within one partition",
        "a_continuation_of_the_sdk_resumes_after_the_page",
        "of every kind of query; DISTINCT and GROUP BY come in the order of their results' keys",
    ),
    _paged(
        "continuation tokens of filters and projections over several ranges",
        "a_cross_partition_filter_resumes_in_the_next_range",
    ),
    _paged("continuation tokens across a restart", "a_continuation_outlives_a_restart_of_the_server"),
    Row(
        "a limit of time",
        True,
        _LIMITS + "a_query_that_takes_too_long_is_ended_with_408",
        "a page ends after 5 s and goes on in the next; what cannot stop half way (sorts, folds, a match of a pattern "
        "of more than 1 s) is ended with 408, after 60 s at the latest",
    ),
    _paged("pages of 4 MB", "a_page_holds_no_more_than_four_megabytes"),
    _paged(
        "query metrics",
        "query_metrics_count_what_was_read_and_given",
        "those that are counted or measured; no index or VM times, no index metrics",
    ),
    # Refusals
    _paged(
        "continuation tokens of ORDER BY, DISTINCT, TOP, OFFSET and LIMIT over several ranges",
        "a_continuation_of_a_merged_query_is_refused",
        "400 Invalid Continuation Token: the SDK hands out one range's token, from which no merged query can go on; of "
        "aggregates it hands out none",
        supported=False,
    ),
    _refused(
        "a cross-partition query without the flag",
        "a_cross_partition_query_without_the_flag_is_refused",
        "400, as on Azure",
    ),
    _refused(
        "GROUP BY over several ranges",
        "group_by_over_several_ranges_is_a_feature_the_client_lacks",
        "400, as on Azure from Python: the SDK does not take it",
    ),
    _refused(
        "aggregates without VALUE over several ranges",
        "an_aggregate_without_value_is_refused_over_several_ranges",
        "400, as on Azure from Python",
    ),
    _refused(
        "aggregates inside expressions over several ranges",
        "an_aggregate_inside_an_expression_is_refused_over_several_ranges",
        "400, as on Azure",
    ),
    _refused("results that are no finite number", "a_division_by_zero_refuses_the_query", "400/4001, as on Azure"),
    _refused(
        "ORDER BY an expression or a joined item",
        "order_by_an_expression_or_a_joined_item_is_refused",
        "400, as on Azure",
    ),
    _refused(
        "texts beyond 262,144 characters, 128 levels, 2,000 ANDs or ORs, 16,000 IN items, 16 million parts of a value",
        "a_query_beyond_the_limits_is_refused_and_not_an_error_of_the_server",
        "400 SC3020 and its neighbours",
    ),
    Row(
        "sorts, groups, distinct values and arrays beyond 512 MiB of memory",
        False,
        _LIMITS + "what_a_query_keeps_at_once_is_limited",
        "400 SC3008; a sort of a container's own items is not counted",
    ),
    _refused(
        "DateTimeFormat with specifiers other than yyyy, MM, dd, HH, mm, ss, f and F",
        "a_specifier_of_datetimeformat_that_is_not_served_is_refused",
        "400 SC2060: names of days and months, 12-hour clocks, time zones, parts without their leading zero",
    ),
    _refused("user-defined functions", "a_user_defined_function_is_refused", "400 SC2040"),
    _refused(
        "spatial, vector and full-text functions",
        "a_function_that_is_not_served_is_refused_as_an_unknown_one",
        "400 SC2005: ST_AREA, ST_DISTANCE, ST_INTERSECTS, ST_ISVALID, ST_ISVALIDDETAILED, ST_WITHIN, VectorDistance, "
        "FullTextContains, FullTextContainsAll, FullTextContainsAny, FullTextScore, RRF",
    ),
    _refused("ORDER BY RANK", "order_by_rank_is_refused", "400 SC1001"),
)
