-- crypto.transactions: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `crypto`;

CREATE TABLE IF NOT EXISTS `crypto`.`transactions`
(
    `address` String,
    `hash` String,
    `block` UInt64,
    `at` DateTime,
    `position` Nullable(UInt32),
    `from_address` String,
    `to_address` String,
    `contract_address` String,
    `wei` UInt256,
    `gas_used` UInt64,
    `gas_price` UInt256,
    `failed` Bool,
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`address`, `hash`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Transactions of Ethereum addresses, walked by block; the last block is asked for again, and what is known stays as it is';

CREATE VIEW IF NOT EXISTS `crypto`.`transactions_latest` AS
SELECT `address`, `hash`, `block`, `at`, `position`, `from_address`, `to_address`, `contract_address`, `wei`, `gas_used`, `gas_price`, `failed`
FROM `crypto`.`transactions`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `address`, `hash`;
