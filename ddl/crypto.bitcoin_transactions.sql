-- crypto.bitcoin_transactions: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `crypto`;

CREATE TABLE IF NOT EXISTS `crypto`.`bitcoin_transactions`
(
    `address` String,
    `txid` String,
    `height` Nullable(UInt32),
    `at` Nullable(DateTime),
    `fee_sat` UInt64,
    `size` UInt32,
    `weight` UInt32,
    `inputs` String,
    `outputs` Array(Tuple(scriptpubkey_address Nullable(String), value UInt64)),
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`address`, `txid`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Confirmed transactions of Bitcoin addresses, newest first; those that wait for a block are left out until they have one';

CREATE VIEW IF NOT EXISTS `crypto`.`bitcoin_transactions_latest` AS
SELECT `address`, `txid`, `height`, `at`, `fee_sat`, `size`, `weight`, `inputs`, `outputs`
FROM `crypto`.`bitcoin_transactions`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `address`, `txid`;
