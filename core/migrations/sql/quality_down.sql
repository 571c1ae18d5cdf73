-- Undo quality.sql and late_failures.sql.
UPDATE lane l SET state = 'active', reason = '', next_at = clock_timestamp()
WHERE l.state = 'suspended' AND l.reason = 'quality-low';
DROP FUNCTION lane_judge_quality(uuid, text);
DROP FUNCTION quality_rank(text);
CREATE OR REPLACE FUNCTION lane_probe() RETURNS TABLE (business_id uuid, channel text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH due AS MATERIALIZED (
        SELECT l.id FROM lane l
        JOIN lane_health h ON h.business_id = l.business_id AND h.channel = l.channel
        WHERE l.state = 'suspended' AND h.suspended_at IS NOT NULL AND h.probe_at <= v_now
        ORDER BY l.business_id, l.channel FOR NO KEY UPDATE OF l SKIP LOCKED)
    UPDATE lane l SET state = 'active', reason = 'probing', next_at = v_now
    FROM due d WHERE l.id = d.id
    RETURNING l.business_id, l.channel::text;
END $$;

CREATE OR REPLACE FUNCTION lane_refresh(p_business uuid, p_channel text)
RETURNS TABLE (business_id uuid, channel text, state text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    PERFORM 1 FROM lane l
    WHERE (p_business IS NULL OR l.business_id = p_business)
      AND (p_channel IS NULL OR l.channel = p_channel)
    ORDER BY l.business_id, l.channel FOR NO KEY UPDATE;
    RETURN QUERY
    UPDATE lane l SET state = n.state, reason = n.reason,
        next_at = CASE WHEN n.state = 'active' THEN clock_timestamp() ELSE l.next_at END
    FROM (
        SELECT x.id,
            CASE WHEN lane_is_paused(x.business_id, x.channel) THEN 'killed'
                 WHEN c.state = 'error' THEN 'disconnected'
                 WHEN c.state = 'disabled' THEN 'disabled'
                 WHEN c.state IS NULL THEN 'disconnected'
                 WHEN h.suspended_at IS NULL THEN 'active'
                 WHEN x.state = 'active' AND x.reason = 'probing' THEN 'active'
                 ELSE 'suspended' END AS state,
            CASE WHEN lane_is_paused(x.business_id, x.channel) THEN 'paused'
                 WHEN c.state IN ('error', 'disabled') THEN c.reason
                 WHEN c.state IS NULL THEN 'not-connected'
                 WHEN h.suspended_at IS NULL THEN ''
                 WHEN x.state = 'active' AND x.reason = 'probing' THEN 'probing'
                 ELSE 'too-many-failures' END AS reason
        FROM lane x
        LEFT JOIN lane_health h ON h.business_id = x.business_id AND h.channel = x.channel
        LEFT JOIN LATERAL (
            SELECT y.state, y.reason FROM channel_connection y
            WHERE y.business_id = x.business_id AND y.channel = x.channel
            ORDER BY (y.state = 'active') DESC, y.is_default DESC, y.checked_at DESC LIMIT 1
        ) c ON true
        WHERE (p_business IS NULL OR x.business_id = p_business)
          AND (p_channel IS NULL OR x.channel = p_channel)) n
    WHERE l.id = n.id AND (l.state, l.reason) IS DISTINCT FROM (n.state, n.reason)
    RETURNING l.business_id, l.channel::text, l.state::text;
END $$;

CREATE OR REPLACE FUNCTION lane_hold(p_business uuid, p_channel text) RETURNS void
LANGUAGE sql VOLATILE AS $$
    UPDATE lane l SET
        state = CASE WHEN n.paused THEN 'killed' ELSE 'suspended' END,
        reason = CASE WHEN n.paused THEN 'paused' ELSE 'too-many-failures' END
    FROM (SELECT lane_is_paused(p_business, p_channel) AS paused, EXISTS (
              SELECT FROM lane_health h WHERE h.business_id = p_business
                AND h.channel = p_channel AND h.suspended_at IS NOT NULL) AS suspended) n
    WHERE l.business_id = p_business AND l.channel = p_channel
      AND ((n.paused AND l.state <> 'killed')
           OR (n.suspended AND l.state = 'active' AND l.reason <> 'probing'))
$$;

CREATE OR REPLACE FUNCTION lane_judge(p_businesses uuid[], p_channels text[], p_marks text[])
RETURNS TABLE (business_id uuid, channel text, became text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
BEGIN
    INSERT INTO lane_health (id, business_id, channel)
    SELECT gen_random_uuid(), t.business_id, t.channel
    FROM unnest(p_businesses, p_channels) AS t(business_id, channel)
    ORDER BY t.business_id, t.channel
    ON CONFLICT (business_id, channel) DO NOTHING;
    PERFORM 1 FROM lane_health h JOIN unnest(p_businesses, p_channels) AS t(business_id, channel)
      ON h.business_id = t.business_id AND h.channel = t.channel
    ORDER BY h.business_id, h.channel FOR NO KEY UPDATE OF h;
    v_now := clock_timestamp();

    RETURN QUERY
    WITH told AS MATERIALIZED (
        SELECT h.id, h.business_id, h.channel, t.marks, l.id AS lane_id,
            l.state = 'active' AND l.reason <> 'probing' AS runs,
            l.state = 'active' AND l.reason = 'probing' AS probing,
            right(h.ring || t.marks, coalesce((b.settings ->> 'suspend_window')::int, 50)) AS ring,
            coalesce((b.settings ->> 'suspend_percent')::int, 50) AS percent,
            coalesce((b.settings ->> 'suspend_minimum')::int, 20) AS minimum
        FROM unnest(p_businesses, p_channels, p_marks) AS t(business_id, channel, marks)
        JOIN lane_health h ON h.business_id = t.business_id AND h.channel = t.channel
        JOIN business b ON b.id = t.business_id
        JOIN lane l ON l.business_id = t.business_id AND l.channel = t.channel
    ), judged AS MATERIALIZED (
        SELECT t.*, CASE
            WHEN t.probing AND position('0' IN t.marks) > 0 THEN 'resumed'
            WHEN t.probing THEN 'probed'
            WHEN t.runs AND t.percent > 0 AND length(t.ring) >= t.minimum
                 AND 100 * length(replace(t.ring, '0', '')) >= t.percent * length(t.ring)
                 THEN 'suspended'
            ELSE '' END AS verdict
        FROM told t
    ), noted AS (
        UPDATE lane_health h SET
            ring = CASE WHEN j.verdict = 'resumed' THEN '' ELSE j.ring END,
            trips = h.trips + CASE WHEN j.verdict = 'suspended' THEN 1 ELSE 0 END,
            suspended_at = CASE j.verdict WHEN 'suspended' THEN v_now WHEN 'resumed' THEN NULL
                                          ELSE h.suspended_at END,
            probe_at = CASE WHEN j.verdict IN ('suspended', 'probed')
                            THEN v_now + interval '60 s'
                            WHEN j.verdict = 'resumed' THEN NULL ELSE h.probe_at END,
            updated_at = v_now
        FROM judged j WHERE h.id = j.id
    ), locked AS MATERIALIZED (
        SELECT l.id, j.verdict FROM judged j JOIN lane l ON l.id = j.lane_id
        WHERE j.verdict <> '' ORDER BY l.business_id, l.channel FOR NO KEY UPDATE OF l
    ), moved AS (
        UPDATE lane l SET
            state = CASE WHEN k.verdict = 'resumed' THEN 'active' ELSE 'suspended' END,
            reason = CASE WHEN k.verdict = 'resumed' THEN '' ELSE 'too-many-failures' END,
            next_at = v_now
        FROM locked k WHERE l.id = k.id AND l.state = 'active'
        RETURNING l.id, k.verdict
    )
    SELECT j.business_id, j.channel::text, m.verdict
    FROM moved m JOIN judged j ON j.lane_id = m.id;
END $$;

DROP FUNCTION lane_ring(text, text, integer);
DROP FUNCTION outbox_apply_statuses(
    text, text[], uuid[], text[], bytea[], text[], timestamptz[], text[]);
CREATE FUNCTION outbox_apply_statuses(
    p_channel text, p_accounts text[], p_callbacks uuid[], p_message_ids text[], p_hashes bytea[],
    p_statuses text[], p_times timestamptz[], p_codes text[])
RETURNS TABLE (place integer, id uuid, business_id uuid, status text, changed boolean)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_ids uuid[];
    v_businesses uuid[];
BEGIN
    SELECT array_agg(coalesce(byid.id, byhash.id) ORDER BY t.place),
           array_agg(c.business_id ORDER BY t.place)
    INTO v_ids, v_businesses
    FROM unnest(p_accounts, p_callbacks, p_hashes)
        WITH ORDINALITY AS t(account, callback, hash, place)
    LEFT JOIN channel_connection c ON c.channel = p_channel AND c.account_ref = t.account
    LEFT JOIN notification_outbox byid ON byid.id = t.callback
        AND byid.business_id = c.business_id AND byid.channel = p_channel
    LEFT JOIN LATERAL (
        SELECT o.id FROM notification_outbox o
        WHERE byid.id IS NULL AND o.provider_message_hash = t.hash
          AND o.business_id = c.business_id AND o.channel = p_channel LIMIT 1) byhash ON true;
    PERFORM 1 FROM notification_outbox o WHERE o.id = ANY (v_ids)
    ORDER BY o.id FOR NO KEY UPDATE;
    v_now := clock_timestamp();

    INSERT INTO status_update (id, business_id, notification_id, status, occurred_at, error_code)
    SELECT gen_random_uuid(), n.business_id, n.id, n.status, n.at, nullif(n.code, '')
    FROM unnest(v_ids, v_businesses, p_statuses, p_times, p_codes)
        AS n(id, business_id, status, at, code)
    WHERE n.id IS NOT NULL ORDER BY n.at, status_rank(n.status);

    RETURN QUERY
    WITH news AS MATERIALIZED (
        SELECT * FROM unnest(v_ids, v_businesses, p_message_ids, p_hashes, p_statuses, p_times,
                             p_codes)
            WITH ORDINALITY AS t(id, business_id, message_id, hash, status, at, code, place)
    ), best AS (
        SELECT n.id, max(status_rank(n.status)) AS rank,
            min(n.at) FILTER (WHERE n.status <> 'failed') AS sent_at,
            min(n.at) FILTER (WHERE n.status = 'delivered') AS delivered_at,
            min(n.at) FILTER (WHERE n.status = 'read') AS read_at,
            min(n.at) FILTER (WHERE n.status = 'failed') AS failed_at,
            max(n.code) FILTER (WHERE n.status = 'failed') AS code,
            max(n.message_id) AS message_id, (array_agg(n.hash))[1] AS hash
        FROM news n WHERE n.id IS NOT NULL GROUP BY n.id
    ), moved AS (
        UPDATE notification_outbox o SET
            status = CASE WHEN b.rank > status_rank(o.status) THEN
                (ARRAY['sent', 'failed', 'delivered', 'read'])[b.rank] ELSE o.status END,
            phase = CASE WHEN o.phase = 'in_flight' THEN o.phase ELSE 'final' END,
            lease_token = CASE WHEN o.phase = 'in_flight' THEN o.lease_token END,
            lease_until = CASE WHEN o.phase = 'in_flight' THEN o.lease_until END,
            reason = CASE WHEN b.rank = 2 AND status_rank(o.status) < 2 THEN 'provider-failed'
                          WHEN b.rank > status_rank(o.status) THEN '' ELSE o.reason END,
            error_code = CASE WHEN b.rank = 2 AND status_rank(o.status) < 2 THEN b.code
                              ELSE o.error_code END,
            next_retry_at = NULL,
            provider_message_id = coalesce(o.provider_message_id, b.message_id),
            provider_message_hash = coalesce(o.provider_message_hash, b.hash),
            sent_at = least(o.sent_at, b.sent_at),
            delivered_at = least(o.delivered_at, b.delivered_at, b.read_at),
            read_at = least(o.read_at, b.read_at),
            failed_at = least(o.failed_at, b.failed_at),
            sequence = o.sequence + 1, updated_at = v_now
        FROM best b WHERE o.id = b.id AND o.status <> 'canceled'
        RETURNING o.id, o.status, b.rank
    )
    SELECT n.place::int, n.id, n.business_id, m.status::text, m.rank = status_rank(m.status)
    FROM news n LEFT JOIN moved m ON m.id = n.id;
END $$;
