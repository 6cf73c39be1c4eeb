"""The two purchases: Silver by mobile money, Bronze by PayPal."""

from devstack.customer import JSON, MTN_MOMO, PAYPAL, Customer
from devstack.demo.report import Report

SILVER, BRONZE = 2, 1


async def by_mobile_money(customer: Customer, report: Report, name: str) -> JSON:
    """Sign up, read the plans, order Silver monthly, pay by MTN Mobile Money; return the organization."""
    await customer.register(name)
    await customer.log_in()
    plans = (await customer.get("/api/tenants/plans/"))["results"]
    silver = next(plan for plan in plans if plan["id"] == SILVER)
    report.say(f"plans: {', '.join(plan['display_name'] + ' ' + plan['monthly_price'] for plan in plans)} XAF a month")
    order = await customer.order(SILVER, name)
    report.say(f"order {order['order_number']}: {silver['display_name']}, {order['total_amount']} {order['currency']}")
    payment = await customer.pay(order, MTN_MOMO)
    report.say(f"MTN Mobile Money: {payment['status']} ({payment['message']})")
    organization = await customer.paid(order)
    report.say(f"organization «{organization['name']}» is {organization['status']}, plan {organization['plan']}")
    await customer.log_in()
    return organization | {"order_id": order["id"]}


async def by_paypal(customer: Customer, report: Report, name: str) -> JSON:
    """Sign up, order Bronze monthly, approve on PayPal's page; return the organization."""
    await customer.register(name)
    await customer.log_in()
    order = await customer.order(BRONZE, name)
    payment = await customer.pay(order, PAYPAL)
    await customer.approve_on_paypal(payment["redirect_url"])
    organization = await customer.paid(order)
    report.say(f"second organization «{organization['name']}» bought by PayPal is {organization['status']}")
    await customer.log_in()
    return organization
