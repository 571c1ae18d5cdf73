-- Undo told_fallbacks.sql.
DROP TRIGGER outbox_clock_moved ON business;
DROP FUNCTION outbox_lose_patience();
CREATE OR REPLACE FUNCTION callback_write_notifications(p_ids uuid[]) RETURNS void
LANGUAGE sql VOLATILE AS $$
    SELECT callback_write(
        array_agg(n.business_id ORDER BY n.id), array_agg('notification.' || n.status ORDER BY n.id),
        array_agg('notification'::text ORDER BY n.id), array_agg(n.id ORDER BY n.id),
        array_agg(n.sequence ORDER BY n.id),
        array_agg(jsonb_build_object(
            'customer_id', c.ref, 'booking_ref', n.booking_ref, 'channel', n.channel,
            'template', n.template_name, 'event_type', n.event_type, 'status', n.status,
            'code', nullif(n.reason, ''), 'provider_code', n.error_code) ORDER BY n.id),
        array_agg(n.updated_at ORDER BY n.id))
    FROM notification_outbox n
    JOIN customer c ON c.business_id = n.business_id AND c.id = n.customer_id
    WHERE n.id = ANY (p_ids) HAVING count(*) > 0
$$;
