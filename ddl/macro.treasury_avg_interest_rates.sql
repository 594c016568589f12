-- macro.treasury_avg_interest_rates: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `macro`;

CREATE TABLE IF NOT EXISTS `macro`.`treasury_avg_interest_rates`
(
    `record_date` Date,
    `security_type` LowCardinality(String),
    `security` LowCardinality(String),
    `rate` Nullable(Decimal(9, 3)),
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`record_date`, `security_type`, `security`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Average interest rates on US Treasury securities, monthly';

CREATE VIEW IF NOT EXISTS `macro`.`treasury_avg_interest_rates_latest` AS
SELECT `record_date`, `security_type`, `security`, `rate`
FROM `macro`.`treasury_avg_interest_rates`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `record_date`, `security_type`, `security`;
