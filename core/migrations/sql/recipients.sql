-- The pace of each recipient, and what becomes of unconfirmed messages.

ALTER TABLE recipient_pace
    ADD CONSTRAINT recipient_pace_business_fk FOREIGN KEY (business_id) REFERENCES business (id),
    ADD CONSTRAINT recipient_pace_key UNIQUE (business_id, channel, address_hash);
ALTER TABLE recipient_pace SET (fillfactor = 70);
CREATE INDEX recipient_pace_day ON recipient_pace (day);

-- Gate: what stands before begin, in the same transaction. It puts back messages whose lane
-- rests or whose recipient must be written to more slowly, and cancels those beyond what one
-- recipient may get in a day. Outbox rows are locked in id order, then recipients in key order;
-- two workers that write to one recipient at once so count one after the other.
CREATE FUNCTION outbox_gate(p_ids uuid[], p_token uuid)
RETURNS TABLE (id uuid, business_id uuid, channel text, verdict text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_mine uuid[];
    v_paces uuid[];
BEGIN
    SELECT array_agg(s.id) INTO v_mine FROM (
        SELECT o.id FROM notification_outbox o
        WHERE o.id = ANY (p_ids) AND o.lease_token = p_token AND o.phase = 'leased'
        ORDER BY o.id FOR NO KEY UPDATE) s;
    IF v_mine IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO recipient_pace (id, business_id, channel, address_hash)
    SELECT gen_random_uuid(), k.* FROM (
        SELECT DISTINCT o.business_id, o.channel, a.address_hash FROM notification_outbox o
        JOIN customer_address a ON a.business_id = o.business_id AND a.id = o.address_id
        WHERE o.id = ANY (v_mine) AND a.address_hash IS NOT NULL ORDER BY 1, 2, 3) k
    ON CONFLICT (business_id, channel, address_hash) DO NOTHING;
    PERFORM 1 FROM recipient_pace p WHERE p.id IN (
        SELECT q.id FROM notification_outbox o
        JOIN customer_address a ON a.business_id = o.business_id AND a.id = o.address_id
        JOIN recipient_pace q ON q.business_id = o.business_id AND q.channel = o.channel
            AND q.address_hash = a.address_hash
        WHERE o.id = ANY (v_mine))
    ORDER BY p.business_id, p.channel, p.address_hash FOR NO KEY UPDATE;
    v_now := clock_timestamp();

    RETURN QUERY
    WITH mine AS MATERIALIZED (
        SELECT o.id, o.begun_at IS NULL AS first, l.rest_until, p.paced_until, p.next_at,
            p.spacing_seconds AS spacing,
            CASE WHEN p.day = (v_now AT TIME ZONE b.timezone)::date THEN p.count ELSE 0 END
                AS used,
            coalesce((b.settings ->> 'per_recipient_day')::int, 20) AS most,
            row_number() OVER w AS place,
            count(*) FILTER (WHERE o.begun_at IS NULL) OVER w AS first_place
        FROM notification_outbox o
        JOIN business b ON b.id = o.business_id
        LEFT JOIN lane l ON l.business_id = o.business_id AND l.channel = o.channel
        JOIN customer_address a ON a.business_id = o.business_id AND a.id = o.address_id
        JOIN recipient_pace p ON p.business_id = o.business_id AND p.channel = o.channel
            AND p.address_hash = a.address_hash
        WHERE o.id = ANY (v_mine)
        WINDOW w AS (PARTITION BY p.id ORDER BY o.next_retry_at, o.id
                     ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    ), judged AS MATERIALIZED (
        SELECT m.*, CASE
            WHEN m.rest_until > v_now THEN 'rest'
            WHEN m.first AND m.used + m.first_place > m.most THEN 'limit'
            WHEN m.paced_until > v_now AND (m.next_at > v_now OR m.place > 1) THEN 'pace'
            ELSE '' END AS verdict
        FROM mine m
    ), moved AS (
        UPDATE notification_outbox o SET
            phase = CASE WHEN j.verdict = 'limit' THEN 'final' ELSE 'waiting' END,
            status = CASE WHEN j.verdict = 'limit' THEN 'canceled' ELSE o.status END,
            reason = CASE j.verdict WHEN 'limit' THEN 'recipient-limit'
                                    WHEN 'pace' THEN 'recipient-paced' ELSE 'throttled' END,
            next_retry_at = CASE j.verdict WHEN 'limit' THEN NULL
                WHEN 'pace' THEN greatest(j.next_at, v_now)
                     + make_interval(secs => (j.place - 1) * j.spacing)
                ELSE o.next_retry_at END,
            lease_token = NULL, lease_until = NULL, updated_at = v_now,
            sequence = o.sequence + CASE WHEN j.verdict = 'limit' THEN 1 ELSE 0 END
        FROM judged j WHERE o.id = j.id AND j.verdict <> ''
        RETURNING o.id, o.business_id, o.channel, j.verdict
    )
    SELECT m.id, m.business_id, m.channel::text, m.verdict FROM moved m;
END $$;

-- Count what goes to each recipient; called after begin, in the same transaction.
CREATE FUNCTION recipient_count(p_ids uuid[], p_first boolean[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    UPDATE recipient_pace p SET
        count = n.firsts + CASE WHEN p.day = n.today THEN p.count ELSE 0 END,
        day = n.today,
        next_at = CASE WHEN p.paced_until > v_now
            THEN greatest(p.next_at, v_now) + make_interval(secs => p.spacing_seconds)
            ELSE p.next_at END
    FROM (
        SELECT o.business_id, o.channel, a.address_hash,
            (v_now AT TIME ZONE b.timezone)::date AS today,
            count(*) FILTER (WHERE t.first)::int AS firsts
        FROM unnest(p_ids, p_first) AS t(id, first)
        JOIN notification_outbox o ON o.id = t.id
        JOIN business b ON b.id = o.business_id
        JOIN customer_address a ON a.business_id = o.business_id AND a.id = o.address_id
        GROUP BY 1, 2, 3, 4) n
    WHERE p.business_id = n.business_id AND p.channel = n.channel
      AND p.address_hash = n.address_hash AND (n.firsts > 0 OR p.paced_until > v_now);
END $$;

-- Slow down: the provider refused several messages to one recipient in a short time. For an hour
-- that recipient gets one per `spacing`, six seconds at most, the first after the wait.
CREATE FUNCTION recipient_slow(p_ids uuid[], p_waits interval[]) RETURNS void
LANGUAGE sql VOLATILE AS $$
    INSERT INTO recipient_pace AS p (
        id, business_id, channel, address_hash, next_at, paced_until, spacing_seconds)
    SELECT gen_random_uuid(), o.business_id, o.channel, a.address_hash,
        clock_timestamp() + max(t.wait), clock_timestamp() + max(t.wait) + interval '1 hour',
        extract(epoch FROM least(max(t.wait), interval '6 s'))::float8
    FROM unnest(p_ids, p_waits) AS t(id, wait)
    JOIN notification_outbox o ON o.id = t.id
    JOIN customer_address a ON a.business_id = o.business_id AND a.id = o.address_id
    WHERE a.address_hash IS NOT NULL
    GROUP BY o.business_id, o.channel, a.address_hash
    ORDER BY o.business_id, o.channel, a.address_hash
    ON CONFLICT (business_id, channel, address_hash) DO UPDATE SET
        next_at = greatest(p.next_at, excluded.next_at), paced_until = excluded.paced_until,
        spacing_seconds = greatest(p.spacing_seconds, excluded.spacing_seconds)
$$;

-- Give up on unconfirmed sends of channels whose provider cannot settle them (rulings B5). New:
-- the grace time is the business's own, and who wants them sent again is left out.
CREATE OR REPLACE FUNCTION outbox_close_unconfirmed(p_channels text[], p_grace interval)
RETURNS TABLE (id uuid, business_id uuid, channel text)
LANGUAGE sql VOLATILE AS $$
    WITH old AS MATERIALIZED (
        SELECT o.id FROM notification_outbox o JOIN business b ON b.id = o.business_id
        WHERE o.phase = 'unconfirmed' AND o.channel = ANY (p_channels)
          AND o.begun_at < clock_timestamp() - coalesce(
              make_interval(secs => (b.settings ->> 'grace_seconds')::int), p_grace)
          AND (coalesce(b.settings ->> 'unconfirmed', 'hold') <> 'resend' OR o.retry_count >= 5)
        ORDER BY o.id LIMIT 500 FOR NO KEY UPDATE OF o SKIP LOCKED)
    UPDATE notification_outbox o SET phase = 'final', status = 'failed',
        reason = 'unknown-outcome', failed_at = clock_timestamp(), sequence = o.sequence + 1,
        updated_at = clock_timestamp()
    FROM old WHERE o.id = old.id
    RETURNING o.id, o.business_id, o.channel::text
$$;

-- Queue unconfirmed sends again for businesses that prefer a message twice to none.
CREATE FUNCTION outbox_resend_unconfirmed(p_grace interval)
RETURNS TABLE (id uuid, business_id uuid, channel text)
LANGUAGE sql VOLATILE AS $$
    WITH old AS MATERIALIZED (
        SELECT o.id FROM notification_outbox o JOIN business b ON b.id = o.business_id
        WHERE o.phase = 'unconfirmed' AND o.status = 'queued' AND o.retry_count < 5
          AND b.settings ->> 'unconfirmed' = 'resend'
          AND o.begun_at < clock_timestamp() - coalesce(
              make_interval(secs => (b.settings ->> 'grace_seconds')::int), p_grace)
        ORDER BY o.id LIMIT 500 FOR NO KEY UPDATE OF o SKIP LOCKED)
    UPDATE notification_outbox o SET phase = 'waiting', reason = '',
        retry_count = o.retry_count + 1, next_retry_at = clock_timestamp(),
        sequence = o.sequence + 1, updated_at = clock_timestamp()
    FROM old WHERE o.id = old.id
    RETURNING o.id, o.business_id, o.channel::text
$$;
