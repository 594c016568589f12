-- social.x_posts: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `social`;

CREATE TABLE IF NOT EXISTS `social`.`x_posts`
(
    `id` UInt64,
    `user_id` String,
    `created_at` Nullable(DateTime64(3)),
    `lang` LowCardinality(Nullable(String)),
    `text` String,
    `likes` Nullable(UInt64),
    `reposts` Nullable(UInt64),
    `replies` Nullable(UInt64),
    `quotes` Nullable(UInt64),
    `fetched_at` DateTime,
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`id`, `fetched_at`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Posts of X accounts (by user id), from the last known one on; the first run reads as far back as the API gives (3,200)';

CREATE VIEW IF NOT EXISTS `social`.`x_posts_latest` AS
SELECT `id`, `user_id`, `created_at`, `lang`, `text`, `likes`, `reposts`, `replies`, `quotes`, `fetched_at`
FROM `social`.`x_posts`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `id`;
