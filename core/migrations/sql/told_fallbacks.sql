-- What is told of fallbacks, and what a test business's clock moves.

-- The callbacks of a notification, as before, and: whose place it takes.
CREATE OR REPLACE FUNCTION callback_write_notifications(p_ids uuid[]) RETURNS void
LANGUAGE sql VOLATILE AS $$
    SELECT callback_write(
        array_agg(n.business_id ORDER BY n.id), array_agg('notification.' || n.status ORDER BY n.id),
        array_agg('notification'::text ORDER BY n.id), array_agg(n.id ORDER BY n.id),
        array_agg(n.sequence ORDER BY n.id),
        array_agg(jsonb_build_object(
            'customer_id', c.ref, 'booking_ref', n.booking_ref, 'channel', n.channel,
            'template', n.template_name, 'event_type', n.event_type, 'status', n.status,
            'code', nullif(n.reason, ''), 'provider_code', n.error_code)
            || CASE WHEN n.fallback_of IS NULL THEN '{}'::jsonb
                    ELSE jsonb_build_object('fallback_of', n.fallback_of) END ORDER BY n.id),
        array_agg(n.updated_at ORDER BY n.id))
    FROM notification_outbox n
    JOIN customer c ON c.business_id = n.business_id AND c.id = n.customer_id
    WHERE n.id = ANY (p_ids) HAVING count(*) > 0
$$;

-- A test business's clock brings the end of the patience nearer, too.
CREATE FUNCTION outbox_lose_patience() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE notification_outbox o
    SET fallback_at = o.fallback_at
        - make_interval(secs => NEW.clock_ahead_seconds - OLD.clock_ahead_seconds)
    WHERE o.business_id = NEW.id AND o.status = 'sent' AND o.followed_at IS NULL
      AND o.fallback_at IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER outbox_clock_moved AFTER UPDATE OF clock_ahead_seconds ON business FOR EACH ROW
    WHEN (NEW.clock_ahead_seconds > OLD.clock_ahead_seconds)
    EXECUTE FUNCTION outbox_lose_patience();
