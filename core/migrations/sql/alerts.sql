-- Alerts: raised once per transition, ended once, and then they are history.

CREATE INDEX alert_listed ON alert (business_id, id DESC);
CREATE INDEX alert_mail_due ON alert (id) WHERE mail_due;

-- Times follow from the state, whoever sets it.
CREATE FUNCTION alert_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'resolved' THEN
        RAISE EXCEPTION 'an alert that is over stays over' USING ERRCODE = 'check_violation';
    END IF;
    NEW.acked_at := CASE NEW.state WHEN 'acked' THEN clock_timestamp() WHEN 'open' THEN NULL
                                   ELSE OLD.acked_at END;
    IF NEW.state = 'resolved' THEN
        NEW.resolved_at := clock_timestamp();
        NEW.mail_due := true;
        -- A person who ends what they had not taken on before writes their name in one field.
        IF NEW.resolved_by IS NULL AND NEW.acked_by IS DISTINCT FROM OLD.acked_by THEN
            NEW.resolved_by := NEW.acked_by;
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER alert_stamped BEFORE UPDATE ON alert FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION alert_stamp();

-- Raise, for triggers; twice the same is said once.
CREATE FUNCTION alert_raise(p_business uuid, p_kind text, p_subject text, p_arguments jsonb)
RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO alert (id, business_id, kind, subject, arguments)
    VALUES (callback_new_id(clock_timestamp()), p_business, p_kind, left(p_subject, 200),
            p_arguments)
    ON CONFLICT (kind, business_id, subject) WHERE state <> 'resolved' DO NOTHING
$$;

-- End, for triggers. What another transaction is writing now is left to the review.
CREATE FUNCTION alert_resolve(p_business uuid, p_kinds text[], p_subject text)
RETURNS void LANGUAGE sql VOLATILE AS $$
    UPDATE alert a SET state = 'resolved'
    FROM (SELECT x.id FROM alert x
          WHERE x.kind = ANY (p_kinds) AND x.business_id = p_business
            AND x.subject = left(p_subject, 200) AND x.state <> 'resolved'
          ORDER BY x.id FOR NO KEY UPDATE SKIP LOCKED) held
    WHERE a.id = held.id
$$;

-- An account works (again): what told of that is over.
CREATE FUNCTION alert_follow_connection() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.state = 'active' AND (TG_OP = 'INSERT' OR OLD.state <> 'active') THEN
        UPDATE alert a SET state = 'resolved'
        FROM (SELECT x.id FROM alert x
              WHERE x.business_id = NEW.business_id AND x.state <> 'resolved'
                AND x.ends_with = 'connection'
                AND (x.subject = NEW.channel OR starts_with(x.kind, NEW.channel || '.'))
              ORDER BY x.id FOR NO KEY UPDATE SKIP LOCKED) held
        WHERE a.id = held.id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER alert_connected AFTER INSERT ON channel_connection FOR EACH ROW
    EXECUTE FUNCTION alert_follow_connection();
CREATE TRIGGER alert_reconnected AFTER UPDATE ON channel_connection FOR EACH ROW
    WHEN (OLD.state <> NEW.state)
    EXECUTE FUNCTION alert_follow_connection();

-- A template that could be sent, or was looked at, was refused or taken back; it came back.
CREATE FUNCTION alert_follow_template() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_subject text := NEW.channel || ':' || NEW.name || ':' || NEW.language;
BEGIN
    IF NEW.usable THEN
        PERFORM alert_resolve(NEW.business_id, '{template-withdrawn}', v_subject);
    ELSIF NEW.reason <> 'template-pending' THEN
        PERFORM alert_raise(NEW.business_id, 'template-withdrawn', v_subject,
            jsonb_build_object('channel', NEW.channel, 'template', NEW.name,
                               'language', NEW.language, 'reason', NEW.reason));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER alert_template_moved AFTER UPDATE ON channel_template FOR EACH ROW
    WHEN ((OLD.usable, OLD.reason) IS DISTINCT FROM (NEW.usable, NEW.reason))
    EXECUTE FUNCTION alert_follow_template();

-- The last message whose outcome was unknown has one.
CREATE INDEX outbox_unconfirmed_of ON notification_outbox (business_id, channel)
    WHERE phase = 'unconfirmed';
CREATE FUNCTION alert_follow_outbox() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM notification_outbox o WHERE o.phase = 'unconfirmed'
                   AND o.business_id = NEW.business_id AND o.channel = NEW.channel) THEN
        PERFORM alert_resolve(NEW.business_id, '{unconfirmed-messages}', NEW.channel);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER alert_settled AFTER UPDATE ON notification_outbox FOR EACH ROW
    WHEN (OLD.phase = 'unconfirmed' AND NEW.phase <> 'unconfirmed')
    EXECUTE FUNCTION alert_follow_outbox();

-- The belt: what two transactions of one moment could not see of each other. Returns how many
-- alerts were raised or ended. What a person ended is not raised again for the same messages.
CREATE FUNCTION alert_review() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_ended bigint;
    v_raised bigint;
BEGIN
    UPDATE alert a SET state = 'resolved'
    FROM (SELECT x.id FROM alert x
          WHERE x.kind = 'unconfirmed-messages' AND x.state <> 'resolved'
            AND NOT EXISTS (SELECT FROM notification_outbox o WHERE o.phase = 'unconfirmed'
                            AND o.business_id = x.business_id AND o.channel = x.subject)
          ORDER BY x.id FOR NO KEY UPDATE SKIP LOCKED) held
    WHERE a.id = held.id;
    GET DIAGNOSTICS v_ended = ROW_COUNT;
    INSERT INTO alert (id, business_id, kind, subject)
    SELECT callback_new_id(clock_timestamp()), o.business_id, 'unconfirmed-messages', o.channel
    FROM (SELECT business_id, channel, max(begun_at) AS begun_at FROM notification_outbox
          WHERE phase = 'unconfirmed' GROUP BY 1, 2) o
    WHERE NOT EXISTS (
        SELECT FROM alert a WHERE a.kind = 'unconfirmed-messages'
          AND a.business_id = o.business_id AND a.subject = o.channel
          AND (a.state <> 'resolved' OR a.resolved_at >= o.begun_at))
    ORDER BY o.business_id, o.channel
    ON CONFLICT (kind, business_id, subject) WHERE state <> 'resolved' DO NOTHING;
    GET DIAGNOSTICS v_raised = ROW_COUNT;
    RETURN v_ended + v_raised;
END $$;

GRANT CREATE ON SCHEMA public TO patchbay_engine;
ALTER FUNCTION alert_follow_connection() OWNER TO patchbay_engine;
ALTER FUNCTION alert_follow_template() OWNER TO patchbay_engine;
ALTER FUNCTION alert_follow_outbox() OWNER TO patchbay_engine;
REVOKE CREATE ON SCHEMA public FROM patchbay_engine;
