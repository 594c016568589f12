-- macro.indicators: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `macro`;

CREATE TABLE IF NOT EXISTS `macro`.`indicators`
(
    `indicator` String,
    `date` Date,
    `value` Nullable(Float64),
    `timestamp` DateTime,
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0,
    INDEX idx_indicator indicator TYPE bloom_filter GRANULARITY 1,
    INDEX idx_date date TYPE minmax GRANULARITY 3
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(date)
ORDER BY (`indicator`, `date`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Key US series from FRED; each revision is a row, \`macro.indicators_latest\` has the last ones';

CREATE VIEW IF NOT EXISTS `macro`.`indicators_latest` AS
SELECT `indicator`, `date`, `value`, `timestamp`
FROM `macro`.`indicators`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `indicator`, `date`;
