-- Suspension, pauses and rests of lanes. The lane's own state stays the one thing that claim and
-- begin look at; everything here only sets it.

ALTER TABLE sending_pause
    ADD CONSTRAINT sending_pause_business_fk FOREIGN KEY (business_id) REFERENCES business (id),
    ADD CONSTRAINT sending_pause_key UNIQUE NULLS NOT DISTINCT (business_id, channel);

-- How many more messages a lane may begin now. New: a lane that rests may begin none, and one
-- that is tried out (half-open) one a minute; otherwise as before.
CREATE OR REPLACE FUNCTION lane_allowance(l lane, p_now timestamptz) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN (l).rest_until > p_now THEN 0
        WHEN (l).reason = 'probing' AND (l).refilled_at > p_now - interval '60 s' THEN 0
        ELSE least(CASE WHEN (l).reason = 'probing' THEN 1 END, CASE
            WHEN (l).cap_minute <= 32 THEN greatest(0, (l).cap_minute - (
                SELECT count(*)::int FROM unnest((l).recent) AS r(at)
                WHERE r.at > p_now - interval '62 s'))
            -- A cap that was changed may leave the bucket with less than nothing.
            ELSE greatest(0, floor(least((l).burst::float8, (l).tokens
                + extract(epoch FROM greatest(p_now - (l).refilled_at, interval '0'))::float8
                * ((l).cap_minute - (l).burst) / 62.0))::int) END)
    END
$$;

-- When a lane that may begin none may begin the next message.
CREATE OR REPLACE FUNCTION lane_next_allowance(l lane, p_now timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN lane_allowance(l, p_now) >= 1 THEN p_now ELSE greatest(
        (l).rest_until,
        CASE WHEN (l).reason = 'probing' THEN (l).refilled_at + interval '60 s' END,
        CASE
            WHEN (l).cap_minute <= 32 THEN coalesce((
                SELECT r.at + interval '62 s' FROM unnest((l).recent) AS r(at)
                ORDER BY r.at DESC OFFSET (l).cap_minute - 1 LIMIT 1), p_now)
            ELSE p_now + make_interval(secs => greatest(0.001, (1 - least((l).burst::float8,
                (l).tokens
                + extract(epoch FROM greatest(p_now - (l).refilled_at, interval '0'))::float8
                * ((l).cap_minute - (l).burst) / 62.0)) * 62.0
                / greatest((l).cap_minute - (l).burst, 1))) END) END
$$;

-- Judge lanes by how their last attempts went; called in the transaction that records them.
-- A string of marks per lane, oldest first: 0 went well, 1 failed. What became of the lane:
--   suspended  just now: too many of its last attempts failed
--   probed     it was tried out and failed again
--   resumed    it was tried out and works
CREATE FUNCTION lane_judge(p_businesses uuid[], p_channels text[], p_marks text[])
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

-- Half-open: let suspended lanes whose minute has passed try one message.
CREATE FUNCTION lane_probe() RETURNS TABLE (business_id uuid, channel text)
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

-- Whether somebody has paused this lane: it alone, its business, its channel or everything.
CREATE FUNCTION lane_is_paused(p_business uuid, p_channel text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM sending_pause p
                   WHERE (p.business_id IS NULL OR p.business_id = p_business)
                     AND (p.channel IS NULL OR p.channel = p_channel))
$$;

-- Set lanes to what their pauses, their suspension and their connections say. An empty argument
-- means all. The lock waits for claims under way; returns the lanes that changed.
CREATE FUNCTION lane_refresh(p_business uuid, p_channel text)
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

-- A connection that comes to life lifts neither a pause nor a suspension.
CREATE FUNCTION lane_hold(p_business uuid, p_channel text) RETURNS void
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

-- Let lanes rest: the provider asked to slow down. Waking a lane does not shorten this.
CREATE FUNCTION lane_rest(p_businesses uuid[], p_channels text[], p_waits interval[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    PERFORM 1 FROM lane l JOIN unnest(p_businesses, p_channels) AS t(business_id, channel)
      ON l.business_id = t.business_id AND l.channel = t.channel
    ORDER BY l.business_id, l.channel FOR NO KEY UPDATE OF l;
    UPDATE lane l SET rest_until = greatest(l.rest_until, v_now + t.wait),
        next_at = greatest(l.next_at, v_now + t.wait)
    FROM unnest(p_businesses, p_channels, p_waits) AS t(business_id, channel, wait)
    WHERE l.business_id = t.business_id AND l.channel = t.channel;
END $$;

-- The same for every lane of a channel: the provider means the whole application.
CREATE FUNCTION lane_rest_all(p_channel text, p_wait interval)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_until timestamptz := clock_timestamp() + p_wait;
    v_lanes uuid[];
BEGIN
    -- Sixty answers of one moment say the same: lanes that rest long enough are left alone.
    SELECT array_agg(s.id) INTO v_lanes FROM (
        SELECT l.id FROM lane l
        WHERE l.channel = p_channel
          AND (l.rest_until IS NULL OR l.rest_until < v_until - interval '1 s')
        ORDER BY l.business_id, l.channel FOR NO KEY UPDATE) s;
    UPDATE lane l SET rest_until = greatest(l.rest_until, v_until),
        next_at = greatest(l.next_at, v_until)
    WHERE l.id = ANY (v_lanes);
END $$;
