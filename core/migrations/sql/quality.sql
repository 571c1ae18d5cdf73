-- The quality stop: an account of which the provider says that people do not want its messages.

-- How bad a word of the provider's is; a word that says nothing is NULL.
CREATE FUNCTION quality_rank(p_quality text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE upper(p_quality) WHEN 'GREEN' THEN 1 WHEN 'YELLOW' THEN 2 WHEN 'RED' THEN 3 END
$$;

-- Bring a lane to the worst quality among its accounts. What became of it, only at a change:
--   stopped  as bad as the business's `quality_stop`, or worse: nothing more is begun
--   warned   worse than good
--   good     good again: the stop is over
-- A stop ends with good news or by a person, not with news that are only less bad.
CREATE FUNCTION lane_judge_quality(p_business uuid, p_channel text)
RETURNS TABLE (became text, quality text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_rank integer;
    v_quality text;
    v_before text;
    v_stop integer;
BEGIN
    SELECT max(quality_rank(c.quality)) INTO v_rank FROM channel_connection c
    WHERE c.business_id = p_business AND c.channel = p_channel AND c.state = 'active';
    IF v_rank IS NULL THEN
        RETURN;
    END IF;
    v_quality := (ARRAY['GREEN', 'YELLOW', 'RED'])[v_rank];
    INSERT INTO lane_health (id, business_id, channel)
    VALUES (gen_random_uuid(), p_business, p_channel)
    ON CONFLICT (business_id, channel) DO NOTHING;
    SELECT h.quality INTO v_before FROM lane_health h
    WHERE h.business_id = p_business AND h.channel = p_channel FOR NO KEY UPDATE;
    IF v_before = v_quality OR (v_before = '' AND v_rank = 1) THEN
        RETURN;
    END IF;
    SELECT coalesce(quality_rank(coalesce(b.settings ->> 'quality_stop', 'RED')), 4) INTO v_stop
    FROM business b WHERE b.id = p_business;
    UPDATE lane_health h SET quality = v_quality, quality_stopped_at = CASE
        WHEN v_rank = 1 THEN NULL
        WHEN v_rank >= v_stop THEN coalesce(h.quality_stopped_at, clock_timestamp())
        ELSE h.quality_stopped_at END
    WHERE h.business_id = p_business AND h.channel = p_channel;
    PERFORM lane_refresh(p_business, p_channel);
    RETURN QUERY SELECT CASE WHEN v_rank = 1 THEN 'good' WHEN v_rank >= v_stop THEN 'stopped'
                             ELSE 'warned' END, v_quality;
END $$;

-- Let suspended lanes try one message, as before, but none that stands for its quality.
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
          AND h.quality_stopped_at IS NULL
        ORDER BY l.business_id, l.channel FOR NO KEY UPDATE OF l SKIP LOCKED)
    UPDATE lane l SET state = 'active', reason = 'probing', next_at = v_now
    FROM due d WHERE l.id = d.id
    RETURNING l.business_id, l.channel::text;
END $$;

-- Set lanes to what holds for them, as before, and: a lane stands while its quality is too low.
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
                 WHEN h.quality_stopped_at IS NOT NULL THEN 'suspended'
                 WHEN h.suspended_at IS NULL THEN 'active'
                 WHEN x.state = 'active' AND x.reason = 'probing' THEN 'active'
                 ELSE 'suspended' END AS state,
            CASE WHEN lane_is_paused(x.business_id, x.channel) THEN 'paused'
                 WHEN c.state IN ('error', 'disabled') THEN c.reason
                 WHEN c.state IS NULL THEN 'not-connected'
                 WHEN h.quality_stopped_at IS NOT NULL THEN 'quality-low'
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

-- A connection that comes to life lifts neither a pause nor a suspension nor a quality stop.
CREATE OR REPLACE FUNCTION lane_hold(p_business uuid, p_channel text) RETURNS void
LANGUAGE sql VOLATILE AS $$
    UPDATE lane l SET
        state = CASE WHEN n.paused THEN 'killed' ELSE 'suspended' END,
        reason = CASE WHEN n.paused THEN 'paused' WHEN n.low THEN 'quality-low'
                      ELSE 'too-many-failures' END
    FROM (SELECT lane_is_paused(p_business, p_channel) AS paused,
                 coalesce(bool_or(h.suspended_at IS NOT NULL), false) AS suspended,
                 coalesce(bool_or(h.quality_stopped_at IS NOT NULL), false) AS low
          FROM lane_health h
          WHERE h.business_id = p_business AND h.channel = p_channel) n
    WHERE l.business_id = p_business AND l.channel = p_channel
      AND ((n.paused AND l.state <> 'killed')
           OR (n.low AND l.state = 'active')
           OR (n.suspended AND l.state = 'active' AND l.reason <> 'probing'))
$$;
