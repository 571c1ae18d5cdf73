-- Undo fallbacks.sql.
DROP FUNCTION outbox_drop_outrun(uuid[], uuid);
DROP FUNCTION outbox_call_back(uuid[]);
DROP FUNCTION outbox_take_unfollowed(uuid[], integer);
DROP FUNCTION outbox_before(uuid[]);
DROP TRIGGER outbox_patience ON notification_outbox;
DROP FUNCTION outbox_start_patience();
DROP INDEX decision_follower;
DROP INDEX outbox_unfollowed;
DROP INDEX outbox_undelivered;
DROP INDEX outbox_follower;
