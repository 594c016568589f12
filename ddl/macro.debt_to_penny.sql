-- macro.debt_to_penny: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `macro`;

CREATE TABLE IF NOT EXISTS `macro`.`debt_to_penny`
(
    `record_date` Date,
    `debt_held_public_amt` Nullable(Decimal(20, 2)),
    `intragov_hold_amt` Nullable(Decimal(20, 2)),
    `tot_pub_debt_out_amt` Decimal(20, 2),
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY `record_date`
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'US public debt outstanding, to the cent';

CREATE VIEW IF NOT EXISTS `macro`.`debt_to_penny_latest` AS
SELECT `record_date`, `debt_held_public_amt`, `intragov_hold_amt`, `tot_pub_debt_out_amt`
FROM `macro`.`debt_to_penny`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `record_date`;
