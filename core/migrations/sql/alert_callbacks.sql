-- Callbacks about alerts, connections and templates: written with the change they tell.

GRANT CREATE ON SCHEMA public TO patchbay_engine;
SET LOCAL ROLE patchbay_engine;

-- New: what concerns no business is told to the platform's own endpoints of the live mode.
CREATE OR REPLACE FUNCTION callback_write(
    p_businesses uuid[], p_types text[], p_subjects text[], p_ids uuid[], p_sequences int[],
    p_bodies jsonb[], p_times timestamptz[])
RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_written bigint;
BEGIN
    WITH told AS MATERIALIZED (
        SELECT t.*, b.ref, coalesce(b.mode, 'live') AS mode
        FROM unnest(p_businesses, p_types, p_subjects, p_ids, p_sequences, p_bodies, p_times)
            WITH ORDINALITY AS t(business_id, type, subject, id, sequence, body, at, place)
        LEFT JOIN business b ON b.id = t.business_id
    ), wanted AS (
        SELECT e.id AS endpoint_id, t.* FROM told t
        JOIN callback_endpoint e ON e.business_id = t.business_id AND e.state = 'active'
            AND callback_wants(e.events, t.type)
        UNION ALL
        SELECT e.id, t.* FROM told t
        JOIN callback_endpoint e ON e.business_id IS NULL AND e.state = 'active'
            AND e.mode = t.mode AND callback_wants(e.events, t.type)
    )
    INSERT INTO callback_delivery (id, business_id, endpoint_id, type, subject, subject_id,
        sequence, body, occurred_at, next_at, created_at)
    SELECT callback_new_id(v_now), w.business_id, w.endpoint_id, w.type, w.subject, w.id,
        w.sequence, jsonb_build_object('business_id', w.ref) || w.body, w.at, v_now, v_now
    FROM wanted w ORDER BY w.place;
    GET DIAGNOSTICS v_written = ROW_COUNT;
    RETURN v_written;
END $$;

-- An alert was raised, or is over. A token that ends soon is news of its channel, too.
CREATE FUNCTION callback_tell_alerts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM callback_endpoint WHERE state = 'active') THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        PERFORM callback_write(
            array_agg(n.business_id ORDER BY n.id), array_agg('alert.resolved'::text),
            array_agg('alert'::text), array_agg(n.id ORDER BY n.id), array_agg(0),
            array_agg(jsonb_build_object('kind', n.kind, 'about', n.subject, 'state', n.state)
                      ORDER BY n.id),
            array_agg(n.resolved_at ORDER BY n.id))
        FROM new_rows n JOIN old_rows o ON o.id = n.id
        WHERE n.state = 'resolved' AND o.state <> 'resolved' HAVING count(*) > 0;
        RETURN NULL;
    END IF;
    PERFORM callback_write(
        array_agg(n.business_id ORDER BY n.id), array_agg('alert.raised'::text),
        array_agg('alert'::text), array_agg(n.id ORDER BY n.id), array_agg(0),
        array_agg(jsonb_build_object('kind', n.kind, 'about', n.subject, 'state', n.state)
                  ORDER BY n.id),
        array_agg(n.created_at ORDER BY n.id))
    FROM new_rows n HAVING count(*) > 0;
    PERFORM callback_write(
        array_agg(n.business_id ORDER BY n.id), array_agg('channel.token_expiring'::text),
        array_agg('channel'::text), array_agg(NULL::uuid), array_agg(0),
        array_agg(jsonb_build_object('channel', split_part(n.kind, '.', 1), 'account', n.subject,
                                     'expires_at', n.arguments -> 'expires_at') ORDER BY n.id),
        array_agg(n.created_at ORDER BY n.id))
    FROM new_rows n WHERE split_part(n.kind, '.', 2) = 'token-expiring' HAVING count(*) > 0;
    RETURN NULL;
END $$;

-- An account began or ceased to work, or its quality changed.
CREATE FUNCTION callback_tell_connections() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM callback_endpoint WHERE state = 'active') THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        PERFORM callback_write_connections(
            array_agg(n.id ORDER BY n.id), array_agg('channel.connected'::text))
        FROM new_rows n WHERE n.state = 'active' HAVING count(*) > 0;
        RETURN NULL;
    END IF;
    PERFORM callback_write_connections(
        array_agg(n.id ORDER BY n.id),
        array_agg(CASE n.state WHEN 'active' THEN 'channel.connected'
                               ELSE 'channel.disconnected' END ORDER BY n.id))
    FROM new_rows n JOIN old_rows o ON o.id = n.id
    WHERE (o.state = 'active') <> (n.state = 'active') HAVING count(*) > 0;
    PERFORM callback_write_connections(
        array_agg(n.id ORDER BY n.id), array_agg('channel.quality_changed'::text))
    FROM new_rows n JOIN old_rows o ON o.id = n.id
    WHERE o.quality <> n.quality AND n.quality <> '' HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE FUNCTION callback_write_connections(p_ids uuid[], p_types text[]) RETURNS void
LANGUAGE sql VOLATILE AS $$
    SELECT callback_write(
        array_agg(c.business_id ORDER BY t.place), array_agg(t.type ORDER BY t.place),
        array_agg('channel'::text), array_agg(NULL::uuid), array_agg(0),
        array_agg(jsonb_build_object(
            'channel', c.channel, 'account', c.account_ref, 'state', c.state,
            'code', nullif(c.reason, ''), 'quality', nullif(c.quality, '')) ORDER BY t.place),
        array_agg(c.checked_at ORDER BY t.place))
    FROM unnest(p_ids, p_types) WITH ORDINALITY AS t(id, type, place)
    JOIN channel_connection c ON c.id = t.id HAVING count(*) > 0
$$;

-- A channel of a business stopped by itself, or came back.
CREATE FUNCTION callback_tell_suspension() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM callback_write(
        ARRAY[NEW.business_id],
        ARRAY[CASE WHEN NEW.suspended_at IS NULL THEN 'channel.resumed'
                   ELSE 'channel.suspended' END],
        ARRAY['channel'], ARRAY[NULL::uuid], ARRAY[0],
        ARRAY[jsonb_build_object(
            'channel', NEW.channel,
            'code', CASE WHEN NEW.suspended_at IS NOT NULL THEN 'too-many-failures' END)],
        ARRAY[clock_timestamp()]);
    RETURN NULL;
END $$;

-- A template may be sent now, or no longer. One that is still looked at is no news.
CREATE FUNCTION callback_tell_templates() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_ids uuid[];
BEGIN
    IF NOT EXISTS (SELECT FROM callback_endpoint WHERE state = 'active') THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        SELECT array_agg(n.id) INTO v_ids FROM new_rows n JOIN old_rows o ON o.id = n.id
        WHERE (o.usable, o.reason) IS DISTINCT FROM (n.usable, n.reason);
    ELSE
        SELECT array_agg(n.id) INTO v_ids FROM new_rows n;
    END IF;
    PERFORM callback_write(
        array_agg(n.business_id ORDER BY n.id), array_agg('template.' || s.became ORDER BY n.id),
        array_agg('template'::text), array_agg(NULL::uuid), array_agg(0),
        array_agg(jsonb_build_object(
            'channel', n.channel, 'template', n.name, 'language', n.language,
            'status', s.became, 'code', nullif(n.reason, '')) ORDER BY n.id),
        array_agg(n.updated_at ORDER BY n.id))
    FROM channel_template n
    CROSS JOIN LATERAL (SELECT CASE WHEN n.usable THEN 'approved'
        WHEN n.reason = 'template-paused' THEN 'paused' ELSE 'rejected' END AS became) s
    WHERE n.id = ANY (v_ids) AND (n.usable OR n.reason <> 'template-pending')
    HAVING count(*) > 0;
    RETURN NULL;
END $$;

RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM patchbay_engine;

CREATE TRIGGER callback_alert_raised AFTER INSERT ON alert
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION callback_tell_alerts();
CREATE TRIGGER callback_alert_over AFTER UPDATE ON alert
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION callback_tell_alerts();
CREATE TRIGGER callback_connected AFTER INSERT ON channel_connection
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION callback_tell_connections();
CREATE TRIGGER callback_connection_moved AFTER UPDATE ON channel_connection
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION callback_tell_connections();
CREATE TRIGGER callback_suspended AFTER UPDATE ON lane_health FOR EACH ROW
    WHEN ((OLD.suspended_at IS NULL) <> (NEW.suspended_at IS NULL))
    EXECUTE FUNCTION callback_tell_suspension();
CREATE TRIGGER callback_template_added AFTER INSERT ON channel_template
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION callback_tell_templates();
CREATE TRIGGER callback_template_moved AFTER UPDATE ON channel_template
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION callback_tell_templates();
