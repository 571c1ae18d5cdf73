DROP INDEX booking_plan_upcoming;
DROP TRIGGER business_zone ON business;
DROP FUNCTION lane_follow_zone();
