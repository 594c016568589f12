-- social.reddit_posts: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `social`;

CREATE TABLE IF NOT EXISTS `social`.`reddit_posts`
(
    `name` String,
    `subreddit` LowCardinality(String),
    `title` String,
    `author` Nullable(String),
    `created_at` DateTime,
    `score` Int64,
    `comments` UInt32,
    `upvote_ratio` Nullable(Float64),
    `edited` String,
    `flair` Nullable(String),
    `url` Nullable(String),
    `text` String,
    `snapshot_at` DateTime,
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`name`, `snapshot_at`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Hot posts of subreddits, about the first thousand; a row is kept for each change of score or comments';

CREATE VIEW IF NOT EXISTS `social`.`reddit_posts_latest` AS
SELECT `name`, `subreddit`, `title`, `author`, `created_at`, `score`, `comments`, `upvote_ratio`, `edited`, `flair`, `url`, `text`, `snapshot_at`
FROM `social`.`reddit_posts`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `name`;
